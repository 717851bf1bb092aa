"""The results page (`page`), the results table (`table`) and the copies in reports/ (`publish`)."""
