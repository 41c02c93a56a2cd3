"""Results on the screen: tables for people, exact JSON for programs."""
