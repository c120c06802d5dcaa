"""What start.sh lets Python decide: checks, weights, and the folder with what it then runs."""
