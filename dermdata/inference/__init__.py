"""What a stranger's table and files say of themselves: which column is which, which words mean what; pure.

Nothing is guessed in silence: each guess has a score and its evidence, and what stays below the bar is a question.

    columns.py   how well a column of a table fits each of a manifest's
    guessing.py  which is which: each column for one field, the surest first
    one_hot.py   columns of 0 and 1: classes of which a row has one, or concepts
    entry.py     what was found, as an entry of a catalog
    words.py     what columns and their words are called, in the languages that tables come in
"""
