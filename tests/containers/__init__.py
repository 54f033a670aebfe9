"""The container suite: what a user does with the image and with compose, on a real engine."""
