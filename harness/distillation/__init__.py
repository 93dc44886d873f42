"""Train the embedded network: a narrow student that stands for a full-width teacher through linear read-outs.

The student has the teacher's depth, about a quarter of its width, average pooling and zero padding. It begins as a
choice of the teacher's own filters and is trained on crops of photographs and paintings (phase 1), then in rounds on
pictures that were optimised on it as well, where it is most wrong. Its maps R S are compared in place of the teacher's
F, in the teacher's own units.

    image_sets    which images, which of them are held out
    teacher       the teacher, normalised as a run has it
    targets       what the student is to learn: the teacher's maps in their principal directions
    crops, store  training crops, and the teacher's maps of them on disk
    selection     the student's first weights
    student       the network in training
    training, muon  loss, optimisers, the loop
    on_policy     pictures optimised on the student, and how good a network's pictures are
    quality       how much of the teacher's maps a network leaves unexplained
    recipe, distil  all of it, in a folder, resumable
    card          the page that stands beside the network

Shapes: B crops, N filters of the teacher, K of the student, M = h × w positions.
"""
