"""From syntax trees to blocks of instructions."""
