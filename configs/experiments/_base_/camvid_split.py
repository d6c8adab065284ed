"""Which images of CamVid's training set are learned from, and which held out.

Three drives of 21, 34 and 68 frames, three seconds apart, in the order of
their file names; the last third of each is held out.
"""
held_out = [*range(14, 21), *range(44, 55), *range(100, 123)]
pool = [index for index in range(123) if index not in held_out]
