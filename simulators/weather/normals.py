"""Normals of 1991-2020 that the generated climate is made from and held against.

Sources: monthly rain and temperature of Essen and global radiation of the Ruhr: Deutscher Wetterdienst (DWD), normals
1991-2020; frost and ice days: Klimaatlas NRW, mean of the state, which is a little colder than the city.
"""

import numpy as np

DAYS_IN_MONTH = np.array([31, 28.25, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
RAIN_NORMAL_MM = np.array([81, 57, 75, 68, 73, 97, 89, 77, 73, 70, 83, 90], dtype=float)
"""Mean rain of each month of the year, Essen. [mm]"""
RAIN_DAYS_NORMAL = np.array([17, 14, 15, 13, 14, 14, 15, 14, 14, 15, 17, 18], dtype=float)
"""Days of each month with 0.1 mm or more."""
TEMP_NORMAL_C = np.array([2.9, 3.4, 6.4, 10.3, 14.1, 17.0, 19.0, 18.7, 15.0, 10.9, 6.7, 3.8])
"""Mean temperature of each month, Essen. [°C]"""
RADIATION_NORMAL_KWH_PER_M2 = np.array([20, 37, 77, 120, 148, 155, 153, 132, 92, 54, 25, 16], dtype=float)
"""Global radiation on the level, sum of each month. [kWh/m²]"""
FROST_DAYS_A_YEAR, ICE_DAYS_A_YEAR = 62.0, 12.0
"""Days with a minimum and with a maximum below 0 °C."""
