"""What is fed with arbitrary bytes: by Hypothesis in every test run, by atheris in `make fuzz`."""
