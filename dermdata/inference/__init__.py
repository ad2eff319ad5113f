"""What a stranger's table and files say of themselves: which column is which, which words mean what; pure.

Nothing is guessed in silence: each guess has a score and its evidence, and what stays below the bar is a question.

    columns.py  which column of a table is which of a manifest's
    words.py    what columns and their words are called, in the languages that tables come in
"""
