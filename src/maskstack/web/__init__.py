"""The page: explanations in a browser, for users who do not want to program.

Gradio is imported by the files of this package that draw the page, never by the rest of maskstack.
"""
