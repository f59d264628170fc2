"""What is wrong now, told from figures alone: each module has the rules of one kind of subject. Pure."""
