"""Who acts, whom they may see, and locks on users. Every other package starts here."""
