/**
 * Names under which AWS itself answers for S3, with region, dual stack, access points and VPC endpoints; not whatever
 * else ends in amazonaws.com, where customers' machines are, too.
 */
const AWS_S3 =
  /^(?:[a-z0-9.-]+\.)?s3(?:-[a-z0-9-]+)?(?:\.dualstack)?(?:\.[a-z]{2,4}(?:-[a-z]+)+-\d+)?(?:\.vpce)?\.(?:amazonaws\.com|amazonaws\.com\.cn|amazonaws\.eu|api\.aws)$/;

/** Whether a host name is one under which AWS itself answers for S3. */
export function isAwsS3(hostname: string): boolean {
  return AWS_S3.test(hostname);
}
