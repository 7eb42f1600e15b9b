"""``python -m steep`` is the command ``steep``."""

from steep.cli import main

if __name__ == "__main__":
    main()
