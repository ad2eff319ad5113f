"""Bring your own copy: recognizes files that the person has, in any layout, and takes them as if downloaded.

given.py      what was given: files, members of archives, how they are read
wholes.py     catalog files as they are: by checksum, else by name
tables.py     which file is which table: by its columns
pictures.py   which files are the images and masks that the tables name
paths.py      … that the folders name, where there is no table
inventory.py  what is wanted, what was given, what is there already or found so far
recognize.py  all of it in order, and the verdict as a value
bring.py      the value carried out, through the same code as a download
"""

from dermdata.fetching.adopt.bring import Bringer
from dermdata.fetching.adopt.given import Found, Given, Problem
from dermdata.fetching.adopt.recognize import recognize
from dermdata.fetching.adopt.values import Adopted, Conflict, Piece, Recognition

__all__ = ["Adopted", "Bringer", "Conflict", "Found", "Given", "Piece", "Problem", "Recognition", "recognize"]
