"""Two views in the layers of one HEVC stream (MV-HEVC), and the boxes by which Apple's players know them."""
