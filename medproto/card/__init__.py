"""The model card of a bundle: `make.make_card` gathers it, `folder.write_card` writes it."""
