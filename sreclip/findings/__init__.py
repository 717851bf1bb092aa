"""What can be known of data and predictions without any target label."""

# Images to label in one go.
FIRST = 20
