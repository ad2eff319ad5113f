"""`python -m dermdata` is the same as `dermdata`."""

from dermdata.cli.app import main

if __name__ == "__main__":
    main()
