"""Pages of plots that stand alone: how a plot looks, its words in German and English, and the page around them."""
