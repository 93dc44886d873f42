"""Train the embedded network: a student VGG-19 that computes a teacher's normalised feature maps.

The student has the teacher's widths, but Gatys et al.'s average pooling and VGG's zero padding, and starts from random
weights. BatchNorm stands between convolution and ReLU while training and is folded into the convolution afterwards, so
that the result is a plain VGG-19. Only the teacher's firing channels are targets; the student's other channels are
free, helpers of the next layer.

    targets    what the student is to learn, and how much of it it has learned
    student    the network in training
    training   recipe, crops, loss, optimisers, the loop

Shapes: B crops, N filters, h × w positions.
"""
