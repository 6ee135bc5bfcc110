"""The same programs in our language and in C: how many instructions does each compiler need?"""
