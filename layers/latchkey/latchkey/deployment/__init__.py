"""What happens while CloudFormation creates, updates or deletes the stack."""
