"""`python -m dermdata` is the same as `dermdata`."""

from dermdata.start import main

if __name__ == "__main__":
    main()
