"""`python -m medproto`, and with several processes `torchrun --nproc-per-node N -m medproto`."""

from __future__ import annotations

from medproto.cli import main

if __name__ == "__main__":
    main()
