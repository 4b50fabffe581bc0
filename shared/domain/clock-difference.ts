/**
 * By how much the clocks of S3, Azure and Azure Data Explorer may differ, in milliseconds, where one's time is compared with
 * another's: each is kept within a second or so, and what is decided with this much room is right in either case.
 */
export const CLOCK_DIFFERENCE_MS = 10_000;
