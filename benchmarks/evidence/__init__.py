"""What the README says of evidence, and the command that prints it."""
