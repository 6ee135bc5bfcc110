"""Between sources and sinks: filters, bounded queues, counting."""
