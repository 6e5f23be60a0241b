"""The contract of a preference pair: rules, what they refuse or warn of, and what the accepted pairs look like."""
