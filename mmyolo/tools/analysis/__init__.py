"""What the tools under tools/analysis_tools compute and draw. Import the module of the subject."""
