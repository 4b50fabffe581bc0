/**
 * Queue of the app's storage account that takes S3 event notifications, as S3, SNS or EventBridge shape them. Messages
 * that can't be read end in `<name>-poison`.
 */
export const EVENT_QUEUE = 's3-events';
