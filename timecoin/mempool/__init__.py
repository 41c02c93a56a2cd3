"""What is waiting: transactions not yet archived, their conflicts, orphans and bodies (PROTOCOL 9)."""
