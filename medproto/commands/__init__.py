"""The subcommands of `medproto`, each a thin edge over the package."""
