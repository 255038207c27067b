"""Figures to a page that one can look at.

- `figures`: arrays of an evaluation to plain figures, with intervals
- `pictures`: figures to SVG (extra `report`: matplotlib)
- `page`: figures and pictures to one HTML file (extra `report`: jinja2), by `page.html`

May import: `io`, `text`, `data`, `nn`, `evaluation` and the root modules.
"""
