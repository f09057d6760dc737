"""The part of the platform that a run of an executor needs: /in, /out, the process, the package, the result."""
