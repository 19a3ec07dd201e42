"""What the README quotes about speed: ratios measured in one run, the two ways alternated, medians of pairs."""
