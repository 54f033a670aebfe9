"""The domain: items, their rules, store and operations. Imports the chassis; only `app` and `cli` import it."""
