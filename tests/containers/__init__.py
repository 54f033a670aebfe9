"""Test the image and the composition on a real Docker Engine, as a user does."""
