"""The page: an explanation in a browser, for who has a photograph and a network and no wish to program.

Gradio is imported by the files of this package that draw the page, never by the rest of maskstack.
"""
