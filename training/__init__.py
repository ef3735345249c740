"""How the bundled models are made. The app never imports this."""
