"""What the reports of all platforms share: charts, texts in two languages, style sheet and script of a page.

A page is one file without links to others: it holds `page.css` and `page.js`, and its pictures as data.
"""
