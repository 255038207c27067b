"""What one looks at: figures on a page, and the progress of long work.

- `figures`: arrays of an evaluation to plain figures, with intervals
- `pictures`: figures to SVG (extra `report`: matplotlib)
- `page`: figures and pictures to one HTML file (extra `report`: jinja2), by `page.html`
- `progress`: a bar on a terminal and in a notebook, lines elsewhere

May import: `io`, `text`, `data`, `nn`, `evaluation` and the root modules.
"""
