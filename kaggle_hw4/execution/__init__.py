"""One description of a run (`spec`), one way to train it (`worker`), and executors."""
