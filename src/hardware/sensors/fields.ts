/** The numbers of `Sensors` that change from look to look and are kept for curves. */
export const sensorFields = [
  'utilization',
  'memoryUtilization',
  'memoryUsedBytes',
  'temperatureC',
  'hotspotC',
  'memoryTemperatureC',
  'powerWatts',
  'powerLimitWatts',
  'graphicsClockMhz',
  'memoryClockMhz',
  'fanRatio',
  'fanRpm',
  'pcieReplays',
] as const

export type SensorField = (typeof sensorFields)[number]
