"""What tests share: the closing line of a run and the switch for long tests."""
