"""From probe events to spans and chains: why did this record process?"""
