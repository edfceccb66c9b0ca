"""The programs: `tatl-train`, `tatl-evaluate`, `tatl-predict`, `tatl-export`, `tatl-zoo`.

Flags are defined here and nowhere else. A program imports TensorFlow only once its command line is
understood, so that `--help` and a mistyped flag are answered at once.
"""
