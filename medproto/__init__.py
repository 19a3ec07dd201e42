"""medproto: prototype evidence for mammography, every score traceable to the training patches behind it."""

__version__ = "0.1.0"
