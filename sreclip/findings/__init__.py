"""What can be known of data and predictions without any target label."""
