/** A place in the middle of some work where it falls asleep until it is woken. */
export function sleepingPlace() {
  const asleep = Promise.withResolvers<void>();
  const awake = Promise.withResolvers<void>();
  return {
    /** Called by the work; ends when it is woken. */
    sleep: async (): Promise<void> => {
      asleep.resolve();
      await awake.promise;
    },
    /** Ends when the work has come there. */
    asleep: asleep.promise,
    awake: awake.resolve,
  };
}
